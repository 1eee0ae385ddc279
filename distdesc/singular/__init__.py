"""What a fingerprint does not see: singular values of its Jacobian, and what they mean."""
