//! Who comes, goes, and is kept out.
