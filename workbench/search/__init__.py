"""Many things tried on one state: scans, contests, budgets, and recipes for a goal."""
