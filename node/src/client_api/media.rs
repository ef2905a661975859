//! Files: uploading them, and seeing those of any server.

use bytes::Bytes;
use comity_core::{
    messaging::{
        command::{Command, Reply},
        media::{Media, MediaContent, Thumbnail, WantedMedia},
    },
    transport::matrix_error::{ErrorCode, MatrixError},
};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use ruma_common::OwnedServerName;
use serde_json::json;

use super::{
    Handled,
    errors::{self, not_found},
    request::Request,
    session::Session,
};
use crate::{accounts::File, media::disposition};

/// The largest file that a user may upload, in bytes.
const UPLOAD_BYTES_MAX: usize = 50 << 20;

/// How long the name of a file may be, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Whatever a file is, it cannot act as a part of the site that serves it.
const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'";

/// A file as an HTTP response.
type Served = Result<Response<Bytes>, MatrixError>;

pub(super) fn limits(_session: &Session<'_>, _request: &Request<'_>) -> Handled {
    Ok(json!({ "m.upload.size": UPLOAD_BYTES_MAX }))
}

pub(super) fn upload(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let content = request.bytes();
    if content.len() > UPLOAD_BYTES_MAX {
        return Err(MatrixError::new(
            ErrorCode::TooLarge,
            "the file is too large",
        ));
    }
    let name = request.query("filename").map(ToOwned::to_owned);
    let file = File {
        content_type: request.header(&CONTENT_TYPE).map(ToOwned::to_owned),
        name: name.filter(|name| name.len() <= NAME_BYTES_MAX),
        content: content.to_vec(),
    };
    let (accounts, localpart) = (&session.api.accounts, &session.caller.localpart);
    let media_id = accounts.add_file(localpart, &file);
    let media_id = media_id.map_err(errors::from_accounts)?;
    let uri = format!("mxc://{}/{media_id}", session.api.server_name);
    Ok(json!({ "content_uri": uri }))
}

pub(super) fn download(session: &Session<'_>, request: &Request<'_>) -> Served {
    serve(session, request, None)
}

pub(super) fn thumbnail(session: &Session<'_>, request: &Request<'_>) -> Served {
    let length = |name: &str| {
        let missing = || MatrixError::new(ErrorCode::MissingParam, format!("{name} is missing"));
        let length = request.query_number(name)?.ok_or_else(missing)?;
        Ok::<_, MatrixError>(u32::try_from(length).unwrap_or(u32::MAX))
    };
    let thumbnail = Thumbnail {
        width: length("width")?,
        height: length("height")?,
        is_cropped: request.query("method") == Some("crop"),
        animated: request.query_flag("animated"),
    };
    serve(session, request, Some(thumbnail))
}

fn serve(session: &Session<'_>, request: &Request<'_>, thumbnail: Option<Thumbnail>) -> Served {
    let server: OwnedServerName = request.id(0)?;
    let wanted = WantedMedia {
        media_id: request.parameter(1).to_owned(),
        thumbnail,
    };
    let name = match thumbnail {
        None => Some(request.parameter(2)).filter(|name| !name.is_empty()),
        Some(_) => None,
    };
    match session.command(Command::Media { server, wanted })? {
        Reply::Media(media) => response(*media, name, request.query_flag("allow_redirect")),
        _ => Err(errors::unexpected_reply()),
    }
}

/// Where another server says that a file is elsewhere, we do not go there ourselves: a client that
/// may be sent there is (MEDIA-4).
fn response(media: Media, name: Option<&str>, may_redirect: bool) -> Served {
    let mut response = match media.content {
        MediaContent::Bytes(bytes) => Response::new(bytes),
        MediaContent::Location(location) if may_redirect => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            set(&mut response, LOCATION, &location);
            response
        }
        MediaContent::Location(_) => {
            return Err(not_found("the file is not on the server that has it"));
        }
    };
    let content_type = media.content_type.as_deref();
    let of_peer = media.content_disposition.filter(|_| name.is_none());
    let named = of_peer
        .as_deref()
        .and_then(|of_peer| of_peer.split_once(';'));
    let disposition = match named {
        None => disposition(content_type, name),
        Some((_, name)) => format!("{};{name}", disposition(content_type, None)),
    };
    set(&mut response, CONTENT_DISPOSITION, &disposition);
    let content_type = content_type.unwrap_or("application/octet-stream");
    set(&mut response, CONTENT_TYPE, content_type);
    set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    let resources = HeaderName::from_static("cross-origin-resource-policy");
    set(&mut response, resources, "cross-origin");
    Ok(response)
}

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
