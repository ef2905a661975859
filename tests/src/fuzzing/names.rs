//! What stands in a request's first line and in its `Authorization` header.

use comity_core::transport::{
    path::{path_segment, split_path},
    router::route,
    x_matrix::XMatrix,
};
use http::{HeaderValue, Method, Uri};

/// The route of any target; what is taken apart can be put together again.
pub fn router(bytes: &[u8]) {
    let Some((method, target)) = bytes.split_first() else {
        return;
    };
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE];
    let method = methods.get(usize::from(method % 4)).unwrap_or(&Method::GET);
    let _ = route(method, uri.path(), uri.query());
    let Ok(segments) = split_path(uri.path()) else {
        assert!(route(method, uri.path(), uri.query()).is_err());
        return;
    };
    let path: String = segments
        .iter()
        .map(|name| format!("/{}", path_segment(name)))
        .collect();
    assert_eq!(split_path(&path).ok(), Some(segments));
}

/// What one server reads from a header, another reads from the same written anew.
pub fn x_matrix(bytes: &[u8]) {
    let Ok(header) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Ok(claim) = XMatrix::parse(&header) else {
        return;
    };
    if let Ok(written) = claim.to_header_value() {
        assert_eq!(XMatrix::parse(&written).as_ref(), Ok(&claim));
    }
}
