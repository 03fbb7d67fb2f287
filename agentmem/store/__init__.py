"""Where a memory is kept: `open_store` turns a path or URL into a Store."""
