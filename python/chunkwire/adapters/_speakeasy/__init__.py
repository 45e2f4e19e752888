"""What the adapters of SDKs share that Speakeasy generates: event streams with a session in the place of their parser,
and the plan of the objects that they give."""
