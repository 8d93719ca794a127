//! The pure heart of Fermata.
