//! Test equipment, never shipped.
