"""What every part shares: error kinds, clock, ids, money, units."""
