//! Everything that reads a peer's bytes before anything else does: framing, start-up, messages, SCRAM.

#![no_main]

use bytes::BytesMut;
use lakegate::auth::scram::{ChannelBinding, ClientFirst};
use lakegate::session::startup::Negotiation;
use lakegate::wire::frame::{Framing, MessageLimits, Phase, next_frame, next_startup};
use lakegate::wire::incoming;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut startup = BytesMut::from(data);
    if let Ok(Some(packet)) = next_startup(&mut startup) {
        let _ = Negotiation::default().advance(&packet);
    }
    for phase in [Phase::Login, Phase::Ready(MessageLimits { statement_bytes_max: 1 << 16, copy_data_bytes_max: 1 << 16 })] {
        let mut buffer = BytesMut::from(data);
        while let Ok(Framing::Message(frame)) = next_frame(&mut buffer, phase) {
            let _ = incoming::decode(frame.tag, &frame.body);
            let _ = incoming::password(&frame.body);
            if let Ok((mechanism, Some(first))) = incoming::sasl_initial(&frame.body) {
                let channel = ChannelBinding { end_point: Some(b"end point") };
                if let Ok(client) = ClientFirst::parse(mechanism, first, &channel)
                    && let Ok(server) = client.answer(b"salt", 4096)
                {
                    let _ = server.parse_final(first);
                }
            }
        }
    }
});
