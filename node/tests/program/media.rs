//! Files, between two servers as between two users of one.

use serde_json::json;

use crate::node::Place;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on \xff\r\n--";

/// MEDIA-1, MEDIA-2: as they were uploaded, with a name, and no longer than allowed.
#[test]
fn a_file_is_seen_on_both_servers() {
    let place = Place::new();
    let (mut here, mut there) = (place.node("here"), place.node("there"));
    here.start("smol");
    there.start("sync");
    let (ann, bob) = (here.user("ann"), there.user("bob"));
    let path = "media/v3/upload?filename=a%20cat.png";
    let (status, uploaded) = ann.transfer("POST", path, Some(("image/png", PNG)));
    assert_eq!(status, 200);
    let uploaded: serde_json::Value = serde_json::from_slice(uploaded.body()).unwrap();
    let uri = uploaded["content_uri"].as_str().unwrap();
    let file = uri.strip_prefix("mxc://").unwrap();
    for user in [&ann, &bob] {
        for (kind, query) in [("download", ""), ("thumbnail", "?width=8&height=8")] {
            let path = format!("client/v1/media/{kind}/{file}{query}");
            let (status, answer) = user.transfer("GET", &path, None);
            assert_eq!(status, 200, "{path}");
            assert_eq!(answer.body(), PNG);
            let headers = answer.headers();
            assert_eq!(headers["content-type"], "image/png");
            let disposition = "inline; filename*=utf-8''a%20cat%2Epng";
            assert_eq!(headers["content-disposition"], disposition);
            assert!(
                headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .contains("sandbox")
            );
        }
        let path = format!("client/v1/media/download/{}/nothing", here.server_name);
        assert_eq!(user.transfer("GET", &path, None).0, 404);
    }
    let (_, page) = ann.transfer("POST", "media/v3/upload", Some(("text/html", b"<script>")));
    let page: serde_json::Value = serde_json::from_slice(page.body()).unwrap();
    let file = page["content_uri"]
        .as_str()
        .unwrap()
        .strip_prefix("mxc://")
        .unwrap();
    let path = format!("client/v1/media/download/{file}/page.html");
    let (_, answer) = bob.transfer("GET", &path, None);
    let disposition = "attachment; filename*=utf-8''page%2Ehtml";
    assert_eq!(answer.headers()["content-disposition"], disposition);
    let path = format!("client/v1/media/thumbnail/{file}?width=8&height=8");
    assert_eq!(bob.transfer("GET", &path, None).0, 400);
    assert_eq!(
        ann.get("media/config"),
        json!({ "m.upload.size": 50 << 20 })
    );
}
