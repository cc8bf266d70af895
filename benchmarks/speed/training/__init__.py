"""How fast trainings are."""
