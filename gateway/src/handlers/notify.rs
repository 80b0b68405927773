//! LISTEN, NOTIFY, UNLISTEN. Mirrors async.c.

use sqlparser::ast::Ident;

use crate::frontend::Response;
use crate::sql::grammar::fold;
use crate::sql::notifications::Post;
use crate::sql::pending_notifications::Change;
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

pub fn listen(session: &mut GatewaySession, channel: &Ident) -> Result<Response, SqlError> {
    // A name that NOTIFY could not send is refused here too.
    let channel = Post::new(&fold(channel), "")?.channel;
    session.pending.change(Change::Listen(channel));
    session.settle_notifications();
    done("LISTEN")
}

pub fn unlisten(session: &mut GatewaySession, channel: &Ident) -> Result<Response, SqlError> {
    let all = channel.quote_style.is_none() && channel.value == "*";
    session.pending.change(if all { Change::UnlistenAll } else { Change::Unlisten(fold(channel)) });
    session.settle_notifications();
    done("UNLISTEN")
}

pub fn notify(session: &mut GatewaySession, channel: &Ident, payload: Option<&str>) -> Result<Response, SqlError> {
    let post = Post::new(&fold(channel), payload.unwrap_or_default())?;
    session.pending.post(post, &session.shared.notifications)?;
    session.settle_notifications();
    done("NOTIFY")
}

fn done(tag: &str) -> Result<Response, SqlError> {
    Ok(Response::Command { tag: tag.to_owned() })
}
