//! Request authentication (server-server API, "Request Authentication"): the `Authorization`
//! header and the object its signature covers. Signing and verifying are the signing module's.

use http::header::HeaderValue;
use http::{Method, Uri};
use ruma_common::{OwnedServerName, OwnedServerSigningKeyId, ServerName};
use serde_json::{Map, Value};

use super::server_address::parse_server_name;

/// The contents of one `Authorization: X-Matrix` header. Nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XMatrix {
    /// The server that claims to send the request.
    pub origin: OwnedServerName,
    /// The server the request is meant for; servers before version 1.3 leave it out.
    pub destination: Option<OwnedServerName>,
    /// The key that signed.
    pub key: OwnedServerSigningKeyId,
    /// The signature, base64 as it came.
    pub signature: String,
}

/// An `Authorization` header that is not a well-formed `X-Matrix` one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadXMatrix {
    /// Another authentication scheme, such as `Bearer`.
    #[error("the Authorization header is not of the X-Matrix scheme")]
    Scheme,
    /// The parameters break the grammar of RFC 9110, section 11.
    #[error("malformed X-Matrix parameters")]
    Grammar,
    /// A parameter comes twice.
    #[error("the X-Matrix parameter {0} comes twice")]
    Repeated(&'static str),
    /// A parameter that must be there is not.
    #[error("the X-Matrix parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter is no server name or key id, as it should be.
    #[error("the X-Matrix parameter {0} is malformed")]
    Malformed(&'static str),
    /// A value cannot stand in a header.
    #[error("an X-Matrix value cannot be written into a header")]
    Unwritable,
}

impl XMatrix {
    /// Reads the value of an `Authorization` header.
    ///
    /// Liberal as the specification asks: scheme and names in any case, parameters in any order,
    /// white space round commas, values quoted with escapes or bare, bare ones also with `:`,
    /// unknown parameters ignored.
    pub fn parse(header: &HeaderValue) -> Result<Self, BadXMatrix> {
        let text = header.to_str().map_err(|_| BadXMatrix::Grammar)?;
        let (scheme, parameters) = text.split_once(' ').ok_or(BadXMatrix::Scheme)?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return Err(BadXMatrix::Scheme);
        }
        let mut found = Parameters::default();
        let mut rest = skip_separators(parameters);
        while !rest.is_empty() {
            let (name, value, after) = parameter(rest).ok_or(BadXMatrix::Grammar)?;
            found.insert(name, value)?;
            rest = skip_separators(after);
        }
        found.into_x_matrix()
    }

    /// The header's value: one space after the scheme, every value quoted, no other space.
    ///
    /// Errors when the key's id or the signature holds characters that would need an escape, as none
    /// does that a server would send.
    pub fn to_header_value(&self) -> Result<HeaderValue, BadXMatrix> {
        let (origin, key, signature) = (&self.origin, &self.key, &self.signature);
        let mut text = format!("X-Matrix origin=\"{origin}\",");
        if let Some(destination) = &self.destination {
            text.push_str(&format!("destination=\"{destination}\","));
        }
        let needs_escape = |text: &str| text.contains(['"', '\\']);
        if needs_escape(key.as_str()) || needs_escape(signature) {
            return Err(BadXMatrix::Unwritable);
        }
        text.push_str(&format!("key=\"{key}\",sig=\"{signature}\""));
        HeaderValue::from_str(&text).map_err(|_| BadXMatrix::Unwritable)
    }
}

/// The object that a request's signature covers. It is signed as any JSON object is.
///
/// `uri` counts as it stands on the wire, path and query without scheme and host; `content` is
/// the body's JSON if the request has a body. When checking a request that names no destination,
/// `destination` is our own name.
pub fn signing_object(
    method: &Method,
    uri: &Uri,
    origin: &ServerName,
    destination: &ServerName,
    content: Option<&Value>,
) -> Map<String, Value> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut object = Map::new();
    object.insert("method".to_owned(), method.as_str().into());
    object.insert("uri".to_owned(), target.into());
    object.insert("origin".to_owned(), origin.as_str().into());
    object.insert("destination".to_owned(), destination.as_str().into());
    if let Some(content) = content {
        object.insert("content".to_owned(), content.clone());
    }
    object
}

/// The parameters that matter, as they are found.
#[derive(Default)]
struct Parameters {
    origin: Option<String>,
    destination: Option<String>,
    key: Option<String>,
    signature: Option<String>,
}

impl Parameters {
    fn insert(&mut self, name: &str, value: String) -> Result<(), BadXMatrix> {
        let slots = [
            (ORIGIN, &mut self.origin),
            (DESTINATION, &mut self.destination),
            (KEY, &mut self.key),
            (SIG, &mut self.signature),
        ];
        let known = slots
            .into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        let Some((known, slot)) = known else {
            return Ok(());
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(BadXMatrix::Repeated(known)),
        }
    }

    fn into_x_matrix(self) -> Result<XMatrix, BadXMatrix> {
        let key = self.key.ok_or(BadXMatrix::Missing(KEY))?;
        Ok(XMatrix {
            origin: server_name(self.origin.ok_or(BadXMatrix::Missing(ORIGIN))?, ORIGIN)?,
            destination: self
                .destination
                .map(|name| server_name(name, DESTINATION))
                .transpose()?,
            key: key.try_into().map_err(|_| BadXMatrix::Malformed(KEY))?,
            signature: self.signature.ok_or(BadXMatrix::Missing(SIG))?,
        })
    }
}

const ORIGIN: &str = "origin";
const DESTINATION: &str = "destination";
const KEY: &str = "key";
const SIG: &str = "sig";

fn server_name(name: String, parameter: &'static str) -> Result<OwnedServerName, BadXMatrix> {
    parse_server_name(&name).map_err(|_| BadXMatrix::Malformed(parameter))?;
    name.try_into()
        .map_err(|_| BadXMatrix::Malformed(parameter))
}

/// Skips commas and white space; empty list elements are allowed.
fn skip_separators(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', ','])
}

/// Splits `name=value` off the front: its name, its value, the rest.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end_matches([' ', '\t']);
    let rest = rest.trim_start_matches([' ', '\t']);
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return None;
    }
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_value(quoted)?,
        None => bare_value(rest)?,
    };
    let separated = rest.trim_start_matches([' ', '\t']);
    (separated.is_empty() || separated.starts_with(',')).then_some((name, value, rest))
}

/// The rest of a quoted string, its escapes undone, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (end, '"') => return Some((value, text.get(end.saturating_add(1)..)?)),
            (_, '\\') => value.push(characters.next()?.1),
            (_, character) => value.push(character),
        }
    }
}

/// A token that may also hold colons, as the key ids of old servers do.
fn bare_value(text: &str) -> Option<(String, &str)> {
    let is_part = |byte: u8| is_token_byte(byte) || byte == b':';
    let end = text
        .bytes()
        .position(|byte| !is_part(byte))
        .unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end)?;
    (!value.is_empty()).then(|| (value.to_owned(), rest))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
