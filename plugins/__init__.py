"""The domain plugins that come with Cito, and `clinical`, the vocabulary that they share."""
