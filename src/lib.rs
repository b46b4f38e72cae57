//! Distributed locks over independent Redis masters.
