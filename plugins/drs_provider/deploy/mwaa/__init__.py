"""Recovery plans on Amazon MWAA: the bundle to upload, the stack to make, and the upload itself."""
