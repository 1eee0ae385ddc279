"""Kinds of results per row. To add a stage: one file and one line here."""

STAGES = {
    "decode": "distdesc.stages.decode:Decode",
    "fingerprint": "distdesc.stages.fingerprint:Fingerprint",
    "ingest": "distdesc.stages.ingest:Ingest",
    "search": "distdesc.stages.search:SearchSingular",
    "sensitivity": "distdesc.stages.sensitivity:SensitivityScan",
    "singular": "distdesc.stages.singular:Singular",
}
