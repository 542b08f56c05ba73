// Passkeys: a form with data-passkey="get" or "create" sends what the browser's authenticator made of our options.
"use strict";

async function readOptions(form) {
  if (form.dataset.optionsElement) {
    return JSON.parse(document.getElementById(form.dataset.optionsElement).textContent);
  }
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const answer = await fetch(form.dataset.options, { method: "POST", headers: { "X-CSRFToken": token } });
  if (!answer.ok) {
    throw new Error(`the options were answered with ${answer.status}`);
  }
  return answer.json();
}

async function useAuthenticator(form) {
  const { publicKey } = await readOptions(form);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.querySelector("[data-passkey-button]").addEventListener("click", async () => {
    try {
      const credential = await useAuthenticator(form);
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      form.querySelector("[role=alert]").hidden = false;
    }
  });
}
