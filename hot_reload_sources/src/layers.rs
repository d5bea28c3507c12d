//! Several sources, merged into one value.
