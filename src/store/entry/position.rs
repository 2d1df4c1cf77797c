//! Positions as they stand in entries.

use crate::model::position::{Incarnation, Position, Stream};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Writes a position.
pub(in crate::store) fn write_position(writer: &mut Writer, position: Position) -> &mut Writer {
    writer.raw(&position.incarnation.0).u16(position.stream.0).u64(position.sequence)
}

/// Reads a position.
pub(in crate::store) fn read_position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    Ok(Position {
        incarnation: Incarnation(reader.array("incarnation")?),
        stream: Stream(reader.u16("stream")?),
        sequence: reader.u64("sequence")?,
    })
}
