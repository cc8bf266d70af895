"""A training's coordinate updates as Ray tasks; loaded only with the extra `ray`."""
