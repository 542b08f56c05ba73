// Starts Swagger UI on the service's own document. A file of its own, because the page allows no inline script.
"use strict";

const darkness = window.matchMedia("(prefers-color-scheme: dark)");

function followColours() {
  document.documentElement.classList.toggle("dark-mode", darkness.matches);
}

followColours();
darkness.addEventListener("change", followColours);

window.addEventListener("DOMContentLoaded", () => {
  window.SwaggerUIBundle({
    url: "/v1/openapi.json",
    domNode: document.getElementById("api"),
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    // The key stays in the page's memory: not in a cookie, not in the browser's storage.
    persistAuthorization: false,
    // Nothing is asked of another host.
    validatorUrl: null,
  });
});
