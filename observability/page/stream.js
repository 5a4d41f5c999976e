// Server-sent events with an Authorization header, which EventSource cannot send.

export class Refused extends Error {}

// Calls `show(data)` for each event until `signal` aborts. Rejects with Refused on 401 and 403.
export async function follow(url, token, show, signal) {
  const answer = await fetch(url, {
    headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
    signal,
  });
  if (answer.status === 401) throw new Refused("The token is not valid, or no longer.");
  if (answer.status === 403) throw new Refused("The token's role may not see this; use one of the role admin.");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the server closed the stream");
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      if (data.length) show(JSON.parse(data.join("\n")));
    }
  }
}
