"""Mode coverage on sets whose modes are known: 25 Gaussians in the plane, and stacked digits."""
