"""Monthly invoices: usage to exact lines, tax, drafts, gapless numbers; nothing is billed twice or lost."""
