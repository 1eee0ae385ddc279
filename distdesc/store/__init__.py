"""Where rows go: Zarr arrays and receipts."""
