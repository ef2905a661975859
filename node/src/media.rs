//! Files for other servers, and for our users: as they were uploaded, and as pictures of
//! themselves.
//!
//! **No picture is made.** An image stands for itself where a small picture of it is wanted, which
//! may be larger than was asked for, unless it moves and should not; of anything else there is none.

use bytes::Bytes;
use comity_core::messaging::{
    media::{Media, MediaContent, WantedMedia},
    notice::Told,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::accounts::{Accounts, AccountsError, File};

/// What a browser may show by itself, being neither program nor page (client-server API, "Serving
/// inline content").
const SHOWN_INLINE: &[&str] = &[
    "text/plain",
    "text/csv",
    "application/json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
];

/// Answers who wants a file of ours.
///
/// # Errors
/// When the database fails.
pub fn answer(accounts: &Accounts, wanted: &WantedMedia) -> Result<Told, AccountsError> {
    let Some(file) = accounts.file(&wanted.media_id)? else {
        return Ok(Told::NotFound);
    };
    Ok(match wanted.thumbnail {
        None => Told::Media(media(file.content_type.clone(), file)),
        Some(thumbnail) => match picture(&file.content, thumbnail.animated) {
            Some(content_type) => Told::Media(media(Some(content_type.to_owned()), file)),
            None => Told::NoThumbnail,
        },
    })
}

fn media(content_type: Option<String>, file: File) -> Media {
    Media {
        content_disposition: Some(disposition(content_type.as_deref(), file.name.as_deref())),
        content_type,
        content: MediaContent::Bytes(Bytes::from(file.content)),
    }
}

/// How a file of a type and name is to be taken: the `Content-Disposition` header.
#[must_use]
pub fn disposition(content_type: Option<&str>, name: Option<&str>) -> String {
    let kind = content_type.map(|full| full.split(';').next().unwrap_or(full).trim());
    let how = match kind.is_some_and(|kind| SHOWN_INLINE.contains(&kind)) {
        true => "inline",
        false => "attachment",
    };
    match name {
        None => how.to_owned(),
        Some(name) => {
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            format!("{how}; filename*=utf-8''{name}")
        }
    }
}

/// Of what type an image is that may stand for itself, by how it begins.
fn picture(content: &[u8], animated: bool) -> Option<&'static str> {
    let begins = |magic: &[u8]| content.starts_with(magic);
    if begins(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    if begins(b"\x89PNG\r\n\x1a\n") {
        let moves = content.windows(4).any(|chunk| chunk == b"acTL");
        return (animated || !moves).then_some("image/png");
    }
    let is_webp = begins(b"RIFF") && content.get(8..12) == Some(b"WEBP");
    match (begins(b"GIF87a") || begins(b"GIF89a"), is_webp) {
        (true, _) if animated => Some("image/gif"),
        (_, true) if animated => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MEDIA-2: what may move is given only if it may; what is no image never.
    #[test]
    fn media_2_an_image_stands_for_itself_unless_it_moves_and_should_not() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let apng = b"\x89PNG\r\n\x1a\n\0\0\0\x08acTL";
        for (content, still, moving) in [
            (&b"\xff\xd8\xff\xe0"[..], true, true),
            (png, true, true),
            (apng, false, true),
            (b"GIF89a", false, true),
            (b"RIFF\0\0\0\0WEBP", false, true),
            (b"RIFF\0\0\0\0WAVE", false, false),
            (b"<svg/>", false, false),
            (b"", false, false),
        ] {
            assert_eq!(picture(content, false).is_some(), still, "{content:?}");
            assert_eq!(picture(content, true).is_some(), moving, "{content:?}");
        }
    }

    #[test]
    fn media_1_pages_and_programs_are_not_shown_in_place() {
        assert_eq!(disposition(Some("image/png"), None), "inline");
        assert_eq!(
            disposition(Some("text/plain; charset=utf-8"), None),
            "inline"
        );
        assert_eq!(disposition(Some("text/html"), None), "attachment");
        assert_eq!(disposition(None, None), "attachment");
        let named = disposition(Some("image/png"), Some("a \"b\"\r\n.png"));
        assert_eq!(named, "inline; filename*=utf-8''a%20%22b%22%0D%0A%2Epng");
    }
}
