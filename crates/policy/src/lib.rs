//! What the client may do: pure decisions over facts, without I/O or a clock. Maker of Permits.
