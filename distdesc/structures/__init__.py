"""Where structures come from. To add a source: one file and one line here."""

SOURCES = {
    "ase_any": "distdesc.structures.ase_any:AseFiles",
    "ase_db": "distdesc.structures.ase_db:AseDatabase",
    "aselmdb": "distdesc.structures.aselmdb:AseLmdb",
    "extxyz": "distdesc.structures.extxyz:ExtxyzFiles",
    "files": "distdesc.structures.mixed:MixedFiles",
    "fingerprint_store": "distdesc.structures.fingerprint_store:FingerprintStore",
    "structure_store": "distdesc.structures.structure_store:StructureStore",
    "variants": "distdesc.structures.variants:Variants",
}
