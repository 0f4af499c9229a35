"""What is to be done: the difference between what should be and the ledger, its order, and its guard."""
