"""How a campaign is doing, while it runs: facts, and the pages and endpoints that show them."""
