"""What the pages ask of the engine: models, pictures and traces, shared by all sessions. The only room with caches."""
