"""The drill aimed at other gateways, installed from their packages, and at ours: one cloud, one local fallback."""
