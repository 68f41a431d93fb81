//! What poller and server agree on.
