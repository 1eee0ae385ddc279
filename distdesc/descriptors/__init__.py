"""Maps from environments to fingerprints. To add a descriptor: one file and one line here."""

DESCRIPTORS = {
    "moment_invariants": "distdesc.descriptors.moment_invariants:MomentInvariants",
    "power_spectrum": "distdesc.descriptors.power_spectrum:PowerSpectrum",
    "radial_spectrum": "distdesc.descriptors.radial_spectrum:RadialSpectrum",
}
