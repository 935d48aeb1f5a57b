"""The causal digital twin of each client: what a change would do, or why nobody can say."""
