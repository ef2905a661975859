//! Reading what may be cut, circular or nonsense.

use std::time::Duration;

use super::{Data, NAME_MAX, NoAnswer, Record, TYPE_SOA, TYPE_SRV};
use crate::transport::names::Service;

const TYPE_CNAME: u16 = 5;

/// How often a name may point elsewhere. Every pointer leads backwards, so no more can be needed
/// than a name has labels.
const POINTERS_MAX: usize = 127;

/// A longer life is a mistake (RFC 2181).
const LIFE_MAX: u32 = 0x7fff_ffff;

/// Bytes, and how many of them are read.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], NoAnswer> {
        let end = self
            .position
            .checked_add(count)
            .ok_or(NoAnswer::Malformed)?;
        let taken = self
            .bytes
            .get(self.position..end)
            .ok_or(NoAnswer::Malformed)?;
        self.position = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, NoAnswer> {
        self.take(1)?.first().copied().ok_or(NoAnswer::Malformed)
    }

    pub(super) fn u16(&mut self) -> Result<u16, NoAnswer> {
        let bytes = self.take(2)?.try_into().map_err(|_| NoAnswer::Malformed)?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn u32(&mut self) -> Result<u32, NoAnswer> {
        let bytes = self.take(4)?.try_into().map_err(|_| NoAnswer::Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A name, in small letters, its parts divided by dots; empty for the root.
    pub(super) fn name(&mut self) -> Result<String, NoAnswer> {
        let mut name = String::new();
        let mut after = None;
        for _ in 0..POINTERS_MAX + NAME_MAX {
            let at = self.position;
            let length = self.u8()?;
            match length >> 6 {
                0 if length == 0 => {
                    self.position = after.unwrap_or(self.position);
                    return Ok(name);
                }
                0 => self.label(length, &mut name)?,
                3 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.u8()?);
                    if target >= at {
                        return Err(NoAnswer::Malformed);
                    }
                    after.get_or_insert(self.position);
                    self.position = target;
                }
                _ => return Err(NoAnswer::Malformed),
            }
        }
        Err(NoAnswer::Malformed)
    }

    /// Only letters that a host's or service's name may have; all others are of no use to us.
    fn label(&mut self, length: u8, name: &mut String) -> Result<(), NoAnswer> {
        let label = self.take(usize::from(length))?;
        let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !label.iter().all(is_usual) || name.len() + label.len() >= NAME_MAX {
            return Err(NoAnswer::Malformed);
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(
            label
                .iter()
                .map(|byte| char::from(byte.to_ascii_lowercase())),
        );
        Ok(())
    }

    pub(super) fn record(&mut self) -> Result<Record, NoAnswer> {
        let name = self.name()?;
        let (kind, class, life) = (self.u16()?, self.u16()?, self.u32()?);
        let length = self.u16()?;
        let end = self.position + usize::from(length);
        if end > self.bytes.len() {
            return Err(NoAnswer::Malformed);
        }
        let data = self.data(kind)?;
        if self.position > end {
            return Err(NoAnswer::Malformed);
        }
        self.position = end;
        let ttl = Duration::from_secs(u64::from(if life > LIFE_MAX { 0 } else { life }));
        Ok(Record {
            name,
            class,
            ttl,
            data,
        })
    }

    fn data(&mut self, kind: u16) -> Result<Data, NoAnswer> {
        Ok(match kind {
            TYPE_SRV => Data::Service(Service {
                priority: self.u16()?,
                weight: self.u16()?,
                port: self.u16()?,
                target: self.name()?,
            }),
            TYPE_CNAME => Data::Alias(self.name()?),
            TYPE_SOA => {
                let _names = (self.name()?, self.name()?);
                let _times = self.take(16)?;
                Data::Absence(Duration::from_secs(u64::from(self.u32()?)))
            }
            _ => Data::Other,
        })
    }
}
