//! The engine's door: [`Federation`].
