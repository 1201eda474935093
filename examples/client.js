// The session cookie is sent by the browser; no script can read it.
const show = (text) => { document.getElementById("message").textContent = text; };

fetch("/api/message", {
  credentials: "include"  // Send cookies
}).then(async (response) => {
  const answer = await response.json();
  show(response.ok ? answer.message : answer.detail.reason || "not logged in");
}).catch(() => show("no answer"));
