"""Maps from environments to fingerprints. To add a descriptor: one file and one line here."""

DESCRIPTORS = {
    "bispectrum": "distdesc.descriptors.bispectrum:Bispectrum",
    "dscribe_soap": "distdesc.descriptors.dscribe_soap:DscribeSoap",
    "featomic_soap": "distdesc.descriptors.featomic_soap:FeatomicSoap",
    "moment_invariants": "distdesc.descriptors.moment_invariants:MomentInvariants",
    "power_spectrum": "distdesc.descriptors.power_spectrum:PowerSpectrum",
    "radial_spectrum": "distdesc.descriptors.radial_spectrum:RadialSpectrum",
    "trispectrum": "distdesc.descriptors.trispectrum:Trispectrum",
}
