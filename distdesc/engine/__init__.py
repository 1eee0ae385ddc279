"""From a campaign to a finished store: plan, tasks, receipts, executors."""
