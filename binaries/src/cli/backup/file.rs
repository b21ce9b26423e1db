//! A backup's file: a head, frames, an end. Each frame's checksum is over everything before it, so none can be missing,
//! doubled or in another place.
//!
//! ```text
//! "MNEMEBAK" version:u32
//! (length:u32 kind:u8 payload checksum:u32)...
//! ```
//! Numbers are little-endian, the checksum is CRC32C. The payload of kind 1 is effects (`kernel/src/effect.rs`), that of
//! kind 2, which is the last, an [`End`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mneme_kernel::backup::End;
use mneme_kernel::codec;
use mneme_kernel::effect::Effects;
use mneme_kernel::limits;

use crate::cli::stop::Stop;

const MAGIC: &[u8; 8] = b"MNEMEBAK";
const VERSION: u32 = 1;
const CHANGES: u8 = 1;
const LAST: u8 = 2;

/// Writes a file under a temporary name, that no one else can read: it has the data and the users' password hashes.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    checksum: u32,
    bytes: u64,
}

impl Writer {
    /// # Errors
    /// If there is such a file, or none can be made.
    pub(super) fn create(path: &Path) -> Result<Writer, Stop> {
        if path.exists() {
            return Err(Stop::Usage(format!("{}: there is such a file: give another name", path.display())));
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| Stop::Usage(format!("{}: {error}", temporary.display())))?;
        let mut writer = Writer { path: path.into(), temporary, file: BufWriter::new(file), checksum: 0, bytes: 0 };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// How much has been written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// # Errors
    /// If it cannot be written.
    pub(super) fn changes(&mut self, effects: &[u8]) -> Result<(), Stop> {
        if effects.is_empty() { Ok(()) } else { self.frame(CHANGES, effects) }
    }

    /// Writes the end; the file is whole and has its name when this returns. How long it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn finish(mut self, end: &End) -> Result<u64, Stop> {
        let mut payload = Vec::new();
        codec::encode(end, &mut payload);
        self.frame(LAST, &payload)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(self.bytes)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), Stop> {
        let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("a change is too large"))?;
        self.put(&length.to_le_bytes())?;
        self.put(&[kind])?;
        self.put(payload)?;
        // Not a part of what it is over: a checksum over itself is always the same.
        let checksum = self.checksum.to_le_bytes();
        self.file.write_all(&checksum)?;
        self.bytes += checksum.len() as u64;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.file.write_all(bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Once it has its name, there is none.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Reads a file from its beginning.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    len: u64,
    position: u64,
    checksum: u32,
    counted: u64,
    end: Option<End>,
}

impl Reader {
    /// # Errors
    /// If it cannot be read, or is no backup of a version that is known.
    pub(super) fn open(path: &Path) -> Result<Reader, Stop> {
        let cannot = |error: io::Error| Stop::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let len = file.metadata().map_err(cannot)?.len();
        let file = BufReader::with_capacity(256 << 10, file);
        let mut reader = Reader { path: path.into(), file, len, position: 0, checksum: 0, counted: 0, end: None };
        let mut head = [0; MAGIC.len()];
        let mut version = [0; 4];
        if reader.take(&mut head).is_err() || head != *MAGIC {
            return Err(reader.bad("it is no backup of Mneme"));
        }
        reader.take(&mut version)?;
        match u32::from_le_bytes(version) {
            VERSION => Ok(reader),
            newer => Err(reader.bad(&format!(
                "its format is {newer}, and this program reads up to {VERSION}: it was written by a newer version of \
                 Mneme, whose mneme-cli restores it; or its head is damaged"
            ))),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next changes, verified; `None` behind the last.
    ///
    /// # Errors
    /// If the file is damaged or not whole.
    pub(super) fn changes(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        if self.end.is_some() {
            return Ok(None);
        }
        let (mut length, mut kind) = ([0; 4], [0; 1]);
        self.take(&mut length)?;
        self.take(&mut kind)?;
        let length = u32::from_le_bytes(length) as usize;
        // A length that is wrong must not be believed.
        if length > limits::MAX_ENTRY || length as u64 > self.len - self.position {
            return Err(self.bad("it is damaged, or not whole"));
        }
        let mut payload = vec![0; length];
        self.take(&mut payload)?;
        let expected = self.checksum;
        let mut checksum = [0; 4];
        self.take(&mut checksum)?;
        self.checksum = expected;
        if u32::from_le_bytes(checksum) != expected {
            return Err(self.bad("it is damaged"));
        }
        match kind {
            [CHANGES] => {
                for effect in Effects::new(&payload) {
                    effect.map_err(|error| self.bad(&format!("a change is not known: {error}")))?;
                    self.counted += 1;
                }
                Ok(Some(payload))
            }
            [LAST] => {
                let end: End = codec::decode_owned(&payload).map_err(|error| self.bad(&format!("its end: {error}")))?;
                if self.position != self.len || end.changes != self.counted {
                    return Err(self.bad("its end does not belong to it"));
                }
                self.end = Some(end);
                Ok(None)
            }
            [other] => Err(self.bad(&format!("it has a part of kind {other}, which this program does not know"))),
        }
    }

    /// What stands at its end, once all changes were read.
    ///
    /// # Errors
    /// If they were not.
    pub(super) fn end(&self) -> Result<&End, Stop> {
        self.end.as_ref().ok_or_else(|| self.bad("it was not read to its end"))
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        if let Err(error) = self.file.read_exact(bytes) {
            return Err(match error.kind() {
                io::ErrorKind::UnexpectedEof => self.bad("it is not whole"),
                _ => self.bad(&error.to_string()),
            });
        }
        self.position += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        Ok(())
    }

    fn bad(&self, why: &str) -> Stop {
        Stop::Damaged(format!("{}: {why} (before byte {})", self.path.display(), self.position))
    }
}

#[cfg(test)]
mod tests {
    use mneme_kernel::backup::Outline;
    use mneme_kernel::effect::{self, Effect};
    use mneme_kernel::ids::DbId;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("mneme-backup-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn end(changes: u64) -> End {
        End { index: 7, changes, made_at: 1, version: "1".into(), outline: Outline::default() }
    }

    fn sample(path: &Path) -> Vec<u8> {
        let mut writer = Writer::create(path).expect("a file");
        for key in [b"a", b"b"] {
            let mut changes = Vec::new();
            effect::record(&Effect::Put { db: DbId(0), key, value: b"value", deadline: None }, &mut changes);
            writer.changes(&changes).expect("written");
        }
        writer.finish(&end(2)).expect("whole");
        fs::read(path).expect("its bytes")
    }

    fn read(path: &Path) -> Result<End, Stop> {
        let mut reader = Reader::open(path)?;
        while reader.changes()?.is_some() {}
        reader.end().cloned()
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = Folder::new("read");
        let path = folder.0.join("b");
        sample(&path);
        assert_eq!(read(&path).expect("sound"), end(2));
        assert!(matches!(Writer::create(&path), Err(Stop::Usage(_))), "it is not overwritten");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_end_is_seen() {
        let folder = Folder::new("damage");
        let path = folder.0.join("b");
        let sound = sample(&path);
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).expect("written");
                assert!(matches!(read(&path), Err(Stop::Damaged(_))), "bit {bit} of byte {at}");
            }
            fs::write(&path, &sound[..at]).expect("written");
            assert!(matches!(read(&path), Err(Stop::Damaged(_))), "cut at {at}");
        }
        // The two frames of changes are as long, and stand behind the head.
        let frame = u32::from_le_bytes(sound[12..16].try_into().expect("four bytes")) as usize + 9;
        let (head, first, second) = (&sound[..12], &sound[12..12 + frame], &sound[12 + frame..12 + 2 * frame]);
        fs::write(&path, [head, second, first, &sound[12 + 2 * frame..]].concat()).expect("written");
        assert!(matches!(read(&path), Err(Stop::Damaged(_))), "frames in another order");
        fs::write(&path, [&sound[..], b"x"].concat()).expect("written");
        assert!(matches!(read(&path), Err(Stop::Damaged(_))), "something behind it");
    }

    #[test]
    fn the_bytes_of_a_file_stay_the_same() {
        let folder = Folder::new("golden");
        let bytes = sample(&folder.0.join("b"));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    /// What the first version wrote.
    const GOLDEN: &str = "4d4e454d4542414b01000000\
        0b00000001000001610576616c756500370cfdb7\
        0b00000001000001620576616c756500486b9960\
        07000000020702010131000059d42e4b";
}
