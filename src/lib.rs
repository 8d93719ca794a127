//! Fermata.
