// validatorUrl would send the document to another's server.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, docExpansion: "list", validatorUrl: "none" });
