"""Maps from fingerprints to shorter ones. To add a reduction: one file and one line here."""

REDUCTIONS = {
    "principal_components": "distdesc.reduction.principal_components:PrincipalComponents",
    "random_projection": "distdesc.reduction.random_projection:RandomProjection",
}
