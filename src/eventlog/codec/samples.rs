//! Encoders for the codecs' tests, written from the formats' descriptions and independent of the decoders.

use std::io::Write;

use super::{Codec, lz4block};

/// Text of JSON-like lines, `bytes` long, compressible but not trivially so.
pub(super) fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number: u64 = 1;
    while text.len() < bytes {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "{{\"Event\":\"SparkListenerTaskEnd\",\"Stage ID\":{}}}", number >> 40).unwrap();
    }
    text.truncate(bytes);
    text
}

/// Encodes with the block size Spark uses (32 KiB).
pub(super) fn encode(codec: Codec, plain: &[u8]) -> Vec<u8> {
    encode_in_blocks_of(codec, plain, if codec == Codec::Zstd { plain.len() } else { 32 << 10 })
}

/// Encodes in blocks of so many plain bytes where the format has blocks (LZF holds at most 65,535 a chunk). Small zstd
/// blocks are raw blocks of one frame without checksum, since `ruzstd` cannot be told a block size.
pub(super) fn encode_in_blocks_of(codec: Codec, plain: &[u8], block: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::Plain => out.extend_from_slice(plain),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap();
        }
        Codec::Zstd if block < plain.len() => {
            // No single segment, no dictionary, no content size; window of 1 KiB << 7.
            out.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3]);
            let blocks = plain.chunks(block);
            let last = blocks.len() - 1;
            for (index, chunk) in blocks.enumerate() {
                let header = (chunk.len() as u32) << 3 | u32::from(index == last);
                out.extend_from_slice(&header.to_le_bytes()[..3]);
                out.extend_from_slice(chunk);
            }
        }
        Codec::Zstd => {
            use ruzstd::encoding::{CompressionLevel, compress_to_vec};
            out = compress_to_vec(plain, CompressionLevel::Fastest);
        }
        Codec::Lz4 => {
            let blocks = plain.chunks(block).map(|chunk| (0x25, lz4_flex::block::compress(chunk), chunk));
            for (token, packed, chunk) in blocks {
                // As lz4-java does: a block that does not shrink is stored.
                let (token, packed) =
                    if packed.len() < chunk.len() { (token, packed) } else { (0x15, chunk.to_vec()) };
                lz4_block(&mut out, token, &packed, chunk.len(), lz4block::checksum(chunk));
            }
            lz4_block(&mut out, 0x15, &[], 0, 0);
        }
        Codec::Snappy => {
            out.extend_from_slice(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
            for chunk in plain.chunks(block) {
                let packed = snap::raw::Encoder::new().compress_vec(chunk).unwrap();
                out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
                out.extend_from_slice(&packed);
            }
        }
        Codec::Lzf => {
            for chunk in plain.chunks(block) {
                out.extend_from_slice(b"ZV");
                let plain_bytes = (chunk.len() as u16).to_be_bytes();
                if let Ok(packed) = ::lzf::compress(chunk) {
                    out.push(1);
                    out.extend_from_slice(&(packed.len() as u16).to_be_bytes());
                    out.extend_from_slice(&plain_bytes);
                    out.extend_from_slice(&packed);
                } else {
                    out.push(0);
                    out.extend_from_slice(&plain_bytes);
                    out.extend_from_slice(chunk);
                }
            }
        }
    }
    out
}

fn lz4_block(out: &mut Vec<u8>, token: u8, packed: &[u8], plain_bytes: usize, check: u32) {
    out.extend_from_slice(b"LZ4Block");
    out.push(token);
    for word in [packed.len() as u32, plain_bytes as u32, check] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(packed);
}
