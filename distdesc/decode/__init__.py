"""From fingerprints back to atoms, without a trained model."""
